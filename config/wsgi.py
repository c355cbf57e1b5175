"""The site as a WSGI application."""

import gc
import os
from importlib import import_module

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()

# What is loaded by now, the pages included, stays for good. The collector need not look at it again and again: each full look
# holds one visitor up for a tenth of a second or two.
import_module(settings.ROOT_URLCONF)
gc.collect()
gc.freeze()
