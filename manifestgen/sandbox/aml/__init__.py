"""Azure Machine Learning, as azureml-core asks for it."""
