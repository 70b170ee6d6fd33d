"""SQLAlchemy 2: create_all, reflection, relationships, transactions. Usage: script PORT [DRIVER]"""
import datetime, decimal, sys
from sqlalchemy import JSON, DateTime, ForeignKey, Numeric, String, MetaData, create_engine, func, inspect, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload, joinedload

port = int(sys.argv[1])
driver = sys.argv[2] if len(sys.argv) > 2 else "pymysql"
url = f"mysql+{driver}://root@127.0.0.1:{port}"
with create_engine(url).connect() as c:
    c.execute(text("DROP DATABASE IF EXISTS c_alchemy"))
    c.execute(text("CREATE DATABASE c_alchemy"))
engine = create_engine(f"{url}/c_alchemy?charset=utf8mb4", connect_args={"init_command": "SET ignore_foreign_keys = 1"}, pool_pre_ping=True)


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    born: Mapped[datetime.datetime | None] = mapped_column(DateTime)
    books: Mapped[list["Book"]] = relationship(back_populates="author", cascade="all, delete-orphan")


class Book(Base):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(100), index=True)
    price: Mapped[decimal.Decimal] = mapped_column(Numeric(8, 2), default=decimal.Decimal("1.00"))
    extra: Mapped[dict | None] = mapped_column(JSON)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author] = relationship(back_populates="books")


Base.metadata.create_all(engine)
Base.metadata.create_all(engine)  # a second time finds everything there
with Session(engine) as s:
    a = Author(name="Ann", born=datetime.datetime(1970, 1, 2), books=[Book(title="One", extra={"k": [1, 2]}), Book(title="Two", price=decimal.Decimal("9.99"))])
    s.add_all([a, Author(name="Bob")])
    s.commit()
    assert a.id == 1 and [b.author_id for b in a.books] == [1, 1]
with Session(engine) as s:
    rows = s.scalars(select(Author).options(selectinload(Author.books)).order_by(Author.id)).all()
    assert [len(r.books) for r in rows] == [2, 0]
    rows = s.scalars(select(Author).options(joinedload(Author.books)).order_by(Author.id)).unique().all()
    assert rows[0].books[0].extra == {"k": [1, 2]}, rows[0].books[0].extra
    q = select(Author.name, func.count(Book.id), func.coalesce(func.sum(Book.price), 0)).outerjoin(Book).group_by(Author.name).order_by(Author.name)
    assert [tuple(r) for r in s.execute(q)] == [("Ann", 2, decimal.Decimal("10.99")), ("Bob", 0, decimal.Decimal("0.00"))], list(s.execute(q))
    assert s.scalar(select(func.count()).where(Book.title.ilike("o%")).select_from(Book)) == 1
    with s.begin_nested() as nested:
        s.add(Author(name="Cid"))
        s.flush()
        nested.rollback()
    assert s.scalar(select(func.count(Author.id))) == 2
    s.delete(rows[0])
    s.commit()
    assert s.scalar(select(func.count(Book.id))) == 0
i = inspect(engine)
assert set(i.get_table_names()) == {"author", "book"}
cols = {c["name"]: c for c in i.get_columns("book")}
assert str(cols["price"]["type"]) == "DECIMAL(8, 2)" and cols["title"]["nullable"] is False, cols
assert i.get_pk_constraint("book")["constrained_columns"] == ["id"]
assert [x["name"] for x in i.get_indexes("author")] == ["name"] and i.get_indexes("author")[0]["unique"]
reflected = MetaData()
reflected.reflect(engine)
assert set(reflected.tables["book"].columns.keys()) == {"id", "title", "price", "extra", "author_id"}
Base.metadata.drop_all(engine)
engine.dispose()
with engine.connect() as c:
    c.execute(text("DROP DATABASE c_alchemy"))
print("ok")
