import type { SQLOutputValue } from 'node:sqlite';
import type { Revocation } from '#trust/revocation.ts';
import type { SnapshotForward } from '#trust/snapshot.ts';
import type { StoredInstance, StoredNode, StoredToken } from '#control/store.ts';

export type Row = Record<string, SQLOutputValue>;

export function toToken(row: Row): StoredToken {
  return {
    id: text(row, 'id'),
    secretHash: text(row, 'secret_hash'),
    node: text(row, 'node'),
    relay: integer(row, 'relay') === 1,
    labels: JSON.parse(text(row, 'labels')) as Record<string, string>,
    links: toLinks(row),
    createdAtMs: integer(row, 'created_at_ms'),
    expiresAtMs: integer(row, 'expires_at_ms'),
    usedAtMs: row['used_at_ms'] === null ? null : integer(row, 'used_at_ms'),
  };
}

export function toNode(row: Row): StoredNode {
  return {
    node: text(row, 'name'),
    spiffeId: text(row, 'spiffe_id'),
    relay: integer(row, 'relay') === 1,
    labels: JSON.parse(text(row, 'labels')) as Record<string, string>,
    links: toLinks(row),
    addresses: JSON.parse(text(row, 'addresses')) as string[],
    admittedAtMs: integer(row, 'admitted_at_ms'),
    revoked: integer(row, 'revoked') === 1,
    serial: row['serial'] === null ? '' : text(row, 'serial'),
    notAfterMs: row['not_after_ms'] === null ? 0 : integer(row, 'not_after_ms'),
  };
}

export function toInstance(row: Row): StoredInstance {
  return {
    service: text(row, 'service'),
    node: text(row, 'node'),
    host: text(row, 'host'),
    port: integer(row, 'port'),
    proxyProtocol: integer(row, 'proxy_protocol') === 1,
  };
}

export function toForward(row: Row): SnapshotForward {
  return {
    node: text(row, 'node'),
    service: text(row, 'service'),
    host: text(row, 'host'),
    port: integer(row, 'port'),
  };
}

export function toRevocation(row: Row): Revocation {
  return { spiffeId: text(row, 'spiffe_id'), serial: text(row, 'serial'), epoch: integer(row, 'revoked_epoch') };
}

function toLinks(row: Row): readonly string[] | null {
  return row['links'] === null ? null : (JSON.parse(text(row, 'links')) as string[]);
}

export function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== 'string') throw new TypeError(`column ${column} holds no text`);
  return value;
}

export function integer(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== 'number') throw new TypeError(`column ${column} holds no integer`);
  return value;
}
