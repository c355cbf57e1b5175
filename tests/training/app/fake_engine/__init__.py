"""An engine that learns nothing: the same command line, files and exit statuses as training.engine, in a tenth of a second.

What it does is told by environment variables: FAKE_EPOCHS, FAKE_EPOCH_S, FAKE_FAIL=train|evaluate|result, FAKE_DEAF (ignores SIGTERM).
"""
