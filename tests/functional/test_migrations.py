"""The schema of a database is the models', however it was made."""

import multiprocessing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from aodh_ha.db import Database, migrate
from aodh_ha.db.models import metadata
from aodh_ha.exceptions import ConfigurationError, DatabaseAway


def differences(database):
    with database.read() as connection:
        context = MigrationContext.configure(
            connection, opts={'compare_type': True, 'compare_server_default': True}
        )
        return compare_metadata(context, metadata)


def test_the_migrations_make_exactly_what_the_models_say(empty_url):
    database = Database(empty_url)
    assert migrate.upgrade(database) == (None, migrate.head())
    assert differences(database) == []
    database.close()


def test_the_comparison_would_find_a_difference(empty_url):
    database = Database(empty_url)
    migrate.upgrade(database)
    with database.write() as connection:
        connection.exec_driver_sql('DROP TABLE attempts')
        connection.exec_driver_sql('ALTER TABLE guests ADD COLUMN more INTEGER')
    assert len(differences(database)) == 2
    database.close()


def test_an_upgrade_may_be_run_again_and_changes_nothing(empty_url):
    database = Database(empty_url)
    migrate.upgrade(database)
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO leases VALUES ('a', 'b', 1)")
    assert migrate.upgrade(database) == (migrate.head(), migrate.head())
    with database.read() as connection:
        assert connection.exec_driver_sql('SELECT owner FROM leases').scalar() == 'b'
    database.close()


def _upgrade(url, barrier, results):
    try:
        barrier.wait(30)
        results.put(migrate.upgrade(Database(url)))
    except Exception as e:
        results.put(f'{type(e).__name__}: {e}')


def test_hosts_may_upgrade_at_the_same_time(empty_url):
    context = multiprocessing.get_context('spawn')
    barrier, results = context.Barrier(3), context.Queue()
    arguments = (empty_url, barrier, results)
    processes = [context.Process(target=_upgrade, args=arguments, daemon=True) for _ in range(3)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(30)
    head = migrate.head()
    assert all(f in ((None, head), (head, head)) for f in found), found
    database = Database(empty_url)
    assert differences(database) == []
    database.close()


@pytest.mark.timeout(50)  # MariaDB's lock is waited for 60 s
def test_an_upgrade_that_fails_leaves_its_lock_to_others(empty_url, monkeypatch):
    database = Database(empty_url)

    def fails(*_):
        raise RuntimeError

    with monkeypatch.context() as m:
        m.setattr(migrate.command, 'upgrade', fails)
        with pytest.raises(RuntimeError):
            migrate.upgrade(database)
    other = Database(empty_url)  # the first one's connection is open, in its pool
    assert migrate.upgrade(other) == (None, migrate.head())
    database.close()
    other.close()


def test_without_tables_the_database_is_away_and_not_an_error_of_ours(empty_url):
    database = Database(empty_url)
    with pytest.raises(DatabaseAway), database.read() as connection:
        connection.exec_driver_sql('SELECT * FROM guests')
    database.close()


@pytest.mark.parametrize('url', ['', 'nonsense', 'oracle+nothing://x', 'postgresql+no://x'])
def test_a_url_that_is_none_is_told_with_the_forms_that_are(url):
    with pytest.raises(ConfigurationError, match='postgresql\\+psycopg://'):
        Database(url)


@pytest.mark.parametrize(
    'url',
    [
        'sqlite:////nowhere/at/all.sqlite',
        'postgresql+psycopg://u:my-password@/x?host=/nowhere',
        'mysql+pymysql://u:my-password@localhost/x?unix_socket=/nowhere',
    ],
)
def test_a_database_that_is_away_is_told_without_its_password(url):
    with pytest.raises(DatabaseAway) as e, Database(url).read():
        pass
    assert 'my-password' not in e.value.detail
    assert e.value.detail
