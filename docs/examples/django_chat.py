"""A Django site with the chat below /chat, where each user has the name of the login.

    pip install django wschat
    python django_chat.py

Log in at http://127.0.0.1:8080/ as alice, with the password wonderland. After that has made the database, gunicorn can serve it, too:
`gunicorn --threads 100 django_chat:application`. The environment variable PORT is another port, DATA another folder for the files.
"""

import logging
import os
from contextlib import closing
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest
from django.urls import path

import wschat
from wschat.chat.access import Access
from wschat.chat.chat import SUBPROTOCOLS
from wschat.chat.sessions import Identity
from wschat.names import normalize_name
from wschat.web.middleware import ChatMiddleware
from wschat.wsgi import handler_for

HERE = Path(__file__).parent
DATA = Path(os.environ.get("DATA", HERE))

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA / "site.sqlite"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    LOGIN_REDIRECT_URL="/",
    LOGIN_URL="/login",
    LOGOUT_REDIRECT_URL="/login",
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.urandom(32).hex(),  # so a restart logs everyone out; a real site keeps its key
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [HERE / "templates"],
            "OPTIONS": {"context_processors": ["django.contrib.auth.context_processors.auth"]},
        }
    ],
)
django.setup()

from django.contrib.auth import get_user, get_user_model  # noqa: E402  # needs the settings
from django.contrib.auth.decorators import login_required  # noqa: E402
from django.contrib.auth.views import LoginView, LogoutView  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.db import connections  # noqa: E402
from django.views.generic import TemplateView  # noqa: E402

urlpatterns = [
    path("", login_required(TemplateView.as_view(template_name="django_chat.html"))),
    path("login", LoginView.as_view(template_name="django_chat.html")),
    path("logout", LogoutView.as_view()),
]


class SiteAccess(Access):
    """Who is logged in to the site may enter the chat, by that name. Staff moderate."""

    def identify(self, request):
        site_request = HttpRequest()
        site_request.session = SessionStore(request.cookies.get(settings.SESSION_COOKIE_NAME))
        try:
            user = get_user(site_request)
            expires_at = site_request.session.get_expiry_date().timestamp()
        finally:
            connections.close_all()  # otherwise the thread of a WebSocket keeps one open
        # The chat has one alice: a site where anyone may register must not have an ALICE besides.
        name = normalize_name(user.get_username())
        if name is None:
            raise wschat.RequestRefused(401, "Log in to the site first.")
        return Identity(name, is_proven=True, is_moderator=user.is_staff, expires_at=expires_at)


access = SiteAccess()
application = ChatMiddleware(get_wsgi_application(), "/chat", access=access, history=str(DATA / "chat.sqlite"))


def check_login(opening):
    """Refuse a WebSocket without a login before it is open: the server opens it before it asks the application."""
    access.identify(opening)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    call_command("migrate", verbosity=0)
    for name, password in [("alice", "wonderland"), ("bob", "builder")]:
        if not get_user_model().objects.filter(username=name).exists():
            get_user_model().objects.create_user(name, password=password)
    port = int(os.environ.get("PORT", "8080"))
    options = {"check_request": check_login, "subprotocols": SUBPROTOCOLS}
    with closing(application), wschat.serve(handler_for(application), port=port, wsgi=application, **options) as server:
        server.serve_forever()  # until Ctrl-C
