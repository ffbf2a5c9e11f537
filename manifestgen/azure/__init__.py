"""The adapters: what `manifestgen.cloud` asks, answered with Microsoft's SDKs. Nothing else imports an Azure SDK."""
