"""The playground: models behind HTTP, for a page in the browser and for programs."""
