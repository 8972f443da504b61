"""The playground: an HTTP server of models, for a page in the browser and for programs."""
