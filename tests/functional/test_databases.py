"""The database fixtures are what they say: three different, real engines, empty for each test."""

import pathlib

import pytest
import sqlalchemy as sa

from aodh_ha.db import audit, migrate
from aodh_ha.db.models import leases, metadata
from tests.functional import databases

VERSION_QUERY = {'sqlite': "SELECT 'SQLite ' || sqlite_version()"}
BANNER = {'sqlite': 'SQLite 3.', 'postgresql': 'PostgreSQL ', 'mariadb': '-MariaDB'}


@pytest.fixture
def empty(empty_url):
    opened = sa.create_engine(empty_url)
    yield opened
    opened.dispose()


def test_each_engine_is_really_the_engine_it_says(empty, engine):
    query = VERSION_QUERY.get(engine, 'SELECT version()')
    with empty.connect() as connection:
        version = connection.exec_driver_sql(query).scalar_one()
    assert [name for name, banner in BANNER.items() if banner in version] == [engine]


@pytest.mark.parametrize('time', ['first', 'second'])
def test_every_test_that_wants_it_gets_an_empty_database(empty, time):
    assert sa.inspect(empty).get_table_names() == []
    with empty.begin() as connection:
        connection.exec_driver_sql('CREATE TABLE left_behind (id INTEGER)')
    assert sa.inspect(empty).get_table_names() == ['left_behind']


@pytest.mark.parametrize('time', ['first', 'second'])
def test_every_other_test_gets_all_tables_and_nothing_in_them(database, time):
    with database.read() as connection:
        assert migrate.current(database) == migrate.head()
        rows = {t.name: connection.execute(sa.select(t)).all() for t in metadata.sorted_tables}
    assert not any(rows.values())
    with database.write() as connection:
        audit.record(connection, 1.0, 'kind', 'left behind')
    # Nor is somebody waited for who never ended a transaction.
    left = sa.create_engine(database.engine.url, poolclass=sa.NullPool).connect()
    left.execute(leases.insert().values(name='left', owner='behind', until=1))
    left.detach()


def test_what_one_connection_commits_another_one_reads_as_text_of_any_language(empty):
    table = sa.Table('words', sa.MetaData(), sa.Column('word', sa.Unicode(40)))
    table.create(empty)
    with empty.begin() as connection:
        connection.execute(table.insert().values(word='Größe 測定 🙂'))
    with empty.connect() as other:
        assert other.execute(sa.select(table.c.word)).scalar_one() == 'Größe 測定 🙂'


@pytest.mark.parametrize('name', ['postgresql', 'mariadb'])
def test_a_database_goes_away_even_while_a_client_holds_its_tables(database_server, name):
    server = database_server(name)
    with server.database() as url:
        database = sa.make_url(url).database
        engine = sa.create_engine(url)
        connection = engine.connect()
        connection.exec_driver_sql('CREATE TABLE held (id INTEGER)')
        connection.exec_driver_sql('INSERT INTO held VALUES (1)')
    with pytest.raises(sa.exc.OperationalError):
        connection.exec_driver_sql('SELECT id FROM held')
    connection.invalidate()
    connection.close()
    engine.dispose()
    names = sa.create_engine(server.administration, poolclass=sa.NullPool)
    assert database not in sa.inspect(names).get_schema_names()


@pytest.mark.parametrize('name', ['postgresql', 'mariadb'])
def test_a_server_leaves_no_process_and_no_file_behind(name):
    with databases.SERVERS[name]() as server:
        url = sa.make_url(server.administration)
        folder = url.query.get('host') or url.query['unix_socket'].removesuffix('/socket')
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        assert pathlib.Path(folder).is_dir()
        engine.connect().close()
    assert not pathlib.Path(folder).exists()
    with pytest.raises(sa.exc.OperationalError):
        engine.connect()


def test_a_missing_server_is_an_error_that_says_what_to_install():
    with pytest.raises(databases.ServerFailed, match='make debian-packages'):
        databases._newest('/usr/lib/no-such-server/*/bin/initdb')
