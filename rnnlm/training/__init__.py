"""Training: batches through an engine, schedules, validation, recovery. Yields reports; the caller prints and saves."""
