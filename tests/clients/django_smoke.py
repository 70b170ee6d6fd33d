"""Django: migrate its own apps, then the ORM. Usage: script PORT [mysqlclient]"""
import sys

if sys.argv[2:] == ["mysqlclient"]:
    import MySQLdb as driver
else:
    # Django asks for mysqlclient by name; PyMySQL stands in, as its documentation says.
    import pymysql as driver

    driver.version_info = (2, 2, 1, "final", 0)
    driver.install_as_MySQLdb()
port = int(sys.argv[1])
with driver.connect(host="127.0.0.1", port=port, user="root", autocommit=True) as c, c.cursor() as cur:
    cur.execute("DROP DATABASE IF EXISTS c_django")
    cur.execute("CREATE DATABASE c_django")

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="x",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "django.contrib.admin", "django.contrib.messages"],
    DATABASES={"default": {"ENGINE": "django.db.backends.mysql", "NAME": "c_django", "USER": "root", "PASSWORD": "", "HOST": "127.0.0.1", "PORT": str(port),
                           "OPTIONS": {"charset": "utf8mb4", "init_command": "SET ignore_foreign_keys = 1"}}},
)
django.setup()
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import Count, F, Q, Sum

call_command("migrate", verbosity=0, interactive=False)
from django.contrib.auth.models import Group, Permission, User

users = [User.objects.create_user(f"user{n}", f"u{n}@example.org", "pw") for n in range(3)]
Group.objects.bulk_create([Group(name=f"g{n}") for n in range(3)])
users[0].groups.set(Group.objects.all())
assert User.objects.filter(username__iexact="USER1").count() == 1
assert User.objects.get(username="user0").check_password("pw")
assert list(User.objects.annotate(n=Count("groups")).order_by("id").values_list("n", flat=True)) == [3, 0, 0]
assert User.objects.filter(Q(username__contains="2") | Q(email__startswith="u1")).count() == 2
assert User.objects.update(first_name="x") == 3
User.objects.filter(pk=users[2].pk).update(id=F("id") + 100)
assert User.objects.aggregate(s=Sum("id"))["s"] == users[0].pk + users[1].pk + users[2].pk + 100
assert Permission.objects.select_related("content_type").filter(content_type__app_label="auth").count() >= 12
assert User.objects.filter(date_joined__year__gte=2020).count() == 3
assert User.objects.dates("date_joined", "month").count() >= 1
try:
    with transaction.atomic():
        User.objects.create(username="user0")
    assert False
except IntegrityError as e:
    assert e.args[0] == 1062, e
try:
    with transaction.atomic():
        Group.objects.all().delete()
        raise KeyError
except KeyError:
    pass
assert Group.objects.count() == 3
group, made = Group.objects.get_or_create(name="g1")
assert not made
Group.objects.update_or_create(name="g9", defaults={})
with transaction.atomic():
    assert Group.objects.select_for_update().filter(name="g9").exists()
User.objects.filter(username="user0").delete()
assert User.objects.count() == 2
tables = connection.introspection.table_names()
assert "auth_user" in tables, tables
with connection.cursor() as cur:
    names = [c.name for c in connection.introspection.get_table_description(cur, "auth_user")]
    assert "username" in names
    cur.execute("DROP DATABASE c_django")
print("ok")
