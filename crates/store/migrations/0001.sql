-- One script for SQLite and PostgreSQL. Ids are UUIDs as text, times are milliseconds since 1970 in UTC, documents are
-- JSON as text, hashes are hexadecimal. A migration that was released is never changed: add the next one.

CREATE TABLE users (
    id          TEXT   NOT NULL PRIMARY KEY,
    email       TEXT   NOT NULL UNIQUE,
    password    TEXT   NOT NULL,
    disabled    BIGINT NOT NULL DEFAULT 0,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);

CREATE TABLE roles (
    id          TEXT   NOT NULL PRIMARY KEY,
    name        TEXT   NOT NULL UNIQUE,
    permissions TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);

CREATE TABLE user_roles (
    user_id     TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role_id     TEXT   NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, role_id)
);

CREATE INDEX user_roles_by_role ON user_roles (role_id);

-- A login, until its logout.
CREATE TABLE sessions (
    id               TEXT   NOT NULL PRIMARY KEY,
    user_id          TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    -- When the last access token given in it ends: until then everyone must know of a revocation.
    token_expires_at BIGINT NOT NULL,
    revoked_at       BIGINT
);

CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_revocation ON sessions (revoked_at);

-- Every refresh token of a session, used ones too: one that comes again late was copied.
CREATE TABLE refresh_tokens (
    hash        TEXT   NOT NULL PRIMARY KEY,
    session_id  TEXT   NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    rotated_at  BIGINT
);

CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);

-- A cluster, and the one agent that may speak for it now.
CREATE TABLE clusters (
    id                TEXT   NOT NULL PRIMARY KEY,
    name              TEXT   NOT NULL UNIQUE,
    status            TEXT   NOT NULL DEFAULT 'disconnected',
    last_seen         BIGINT,
    metadata          TEXT   NOT NULL DEFAULT '{}',
    agent_id          TEXT,
    agent_certificate TEXT,
    agent_serial      TEXT,
    agent_key         TEXT,
    created_at        BIGINT NOT NULL
);

CREATE TABLE agent_tokens (
    id           TEXT   NOT NULL PRIMARY KEY,
    hash         TEXT   NOT NULL,
    cluster_name TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    used_at      BIGINT,
    used_by      TEXT,
    revoked_at   BIGINT
);

-- No references: a row outlives the user and the cluster it speaks of.
CREATE TABLE audit_logs (
    id           TEXT   NOT NULL PRIMARY KEY,
    created_at   BIGINT NOT NULL,
    user_name    TEXT   NOT NULL,
    cluster_name TEXT,
    command      TEXT   NOT NULL,
    status       BIGINT,
    outcome      TEXT,
    duration_ms  BIGINT,
    detail       TEXT   NOT NULL
);

CREATE INDEX audit_logs_by_time ON audit_logs (created_at);
CREATE INDEX audit_logs_by_user ON audit_logs (user_name, created_at);
CREATE INDEX audit_logs_by_cluster ON audit_logs (cluster_name, created_at);
