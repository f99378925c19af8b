import type { NodeGrant, StoredInstance, StoredNode, StoredToken } from '#control/store.ts';
import type { SnapshotForward } from '#trust/snapshot.ts';
import type { ForwardRow, GrantColumns, InstanceRow, NodeRow, TokenRow } from '#io/store-kysely/control-tables.ts';

export function grantColumns({ relay, labels, links }: NodeGrant): GrantColumns {
  return {
    relay: Number(relay),
    labels: JSON.stringify(labels),
    links: links === null ? null : JSON.stringify(links),
  };
}

export function toToken(row: TokenRow): StoredToken {
  return {
    ...toGrant(row.node, row),
    id: row.id,
    secretHash: row.secret_hash,
    createdAtMs: row.created_at_ms,
    expiresAtMs: row.expires_at_ms,
    usedAtMs: row.used_at_ms,
    ...(row.approval === 1 && { needsApproval: true }),
  };
}

export function toNode(row: NodeRow): StoredNode {
  return {
    ...toGrant(row.name, row),
    spiffeId: row.spiffe_id,
    addresses: JSON.parse(row.addresses) as string[],
    admittedAtMs: row.admitted_at_ms,
    revoked: row.revoked === 1,
    serial: row.serial,
    notAfterMs: row.not_after_ms,
  };
}

export function toInstance({ service, node, host, port, proxy_protocol }: InstanceRow): StoredInstance {
  return { service, node, host, port, proxyProtocol: proxy_protocol === 1 };
}

export function toForward({ node, service, host, port }: ForwardRow): SnapshotForward {
  return { node, service, host, port };
}

function toGrant(node: string, { relay, labels, links }: GrantColumns): NodeGrant {
  return {
    node,
    relay: relay === 1,
    labels: JSON.parse(labels) as Record<string, string>,
    links: links === null ? null : (JSON.parse(links) as string[]),
  };
}
