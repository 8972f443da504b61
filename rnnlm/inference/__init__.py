"""What a trained model is for, on ids: scoring, generation. The model is passed in; text stays outside."""
