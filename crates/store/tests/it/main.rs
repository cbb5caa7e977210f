//! The same tests on SQLite and PostgreSQL.

/// Makes of each `async fn name(bench: Bench)` two tests, `sqlite::name` and `postgres::name`.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::support::Bench::sqlite().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::support::Bench::postgres().await).await;
            })+
        }
    };
}

mod agent_tokens;
mod audit;
mod clusters;
mod opening;
mod opening_postgres;
mod sessions;
mod snapshot;
mod support;
mod users;
