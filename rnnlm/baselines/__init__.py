"""What a recurrent network has to beat."""
