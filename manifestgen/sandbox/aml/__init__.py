"""Azure Machine Learning, as far as azureml-core uses it."""
