/** The first layout of the control plane's database; later ones are appended and applied in order. */
const FIRST = `
  CREATE TABLE tokens (
    id TEXT PRIMARY KEY, secret_hash TEXT NOT NULL, node TEXT NOT NULL, relay INTEGER NOT NULL, labels TEXT NOT NULL,
    links TEXT, created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL, used_at_ms INTEGER
  ) STRICT;
  CREATE TABLE nodes (
    name TEXT PRIMARY KEY, spiffe_id TEXT NOT NULL, relay INTEGER NOT NULL, labels TEXT NOT NULL, links TEXT,
    addresses TEXT NOT NULL, admitted_at_ms INTEGER NOT NULL, revoked INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE svids (
    serial TEXT PRIMARY KEY, node TEXT NOT NULL, spiffe_id TEXT NOT NULL, not_after_ms INTEGER NOT NULL,
    issued_at_ms INTEGER NOT NULL, revoked_epoch INTEGER
  ) STRICT;
  CREATE INDEX svids_by_node ON svids (node, issued_at_ms);
  CREATE TABLE instances (
    service TEXT NOT NULL, node TEXT NOT NULL, host TEXT NOT NULL, port INTEGER NOT NULL,
    proxy_protocol INTEGER NOT NULL, PRIMARY KEY (service, node)
  ) STRICT;
  CREATE TABLE forwards (
    node TEXT NOT NULL, service TEXT NOT NULL, host TEXT NOT NULL, port INTEGER NOT NULL, PRIMARY KEY (node, service)
  ) STRICT;
  CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL, mark TEXT NOT NULL) STRICT;
  INSERT INTO counters VALUES ('epoch', 0, ''), ('snapshot', 0, '');
`;

export const MIGRATIONS: readonly string[] = [FIRST];
