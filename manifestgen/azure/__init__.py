"""The adapters: they implement `manifestgen.cloud` with Microsoft's SDKs. Nothing else imports an Azure SDK."""
