"""The classifiers that can be fitted: Hugging Face encoders and the LSTM with attention."""
