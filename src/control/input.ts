import { ok } from '#kernel/result.ts';
import type { Result } from '#kernel/result.ts';
import { isNodeName } from '#trust/identity.ts';
import { SNAPSHOT_ADDRESS_LIMIT, SNAPSHOT_LABEL_LIMIT, SNAPSHOT_LABEL_LIMIT_CHARS } from '#trust/snapshot-reader.ts';
import { LINK_LIMIT } from '#control/limits.ts';
import { refuse } from '#control/refusal.ts';
import type { Refusal } from '#control/refusal.ts';
import type { NodeGrant } from '#control/store.ts';

/** A host that a node can dial: a name or an address without brackets, no spaces or separators. */
const HOST = /^[A-Za-z0-9._:%-]{1,253}$/;
const ADDRESS = /^(?:\[((?=[^\]%]*:)[0-9a-fA-F:.]{2,45}(?:%[\w.-]{1,16})?)\]|([A-Za-z0-9._-]{1,253})):([0-9]{1,5})$/;
const LABEL = /^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$/;

export function checkName(name: string, what: string): Result<string, Refusal> {
  if (isNodeName(name)) return ok(name);
  return refuse('NAME_INVALID', `${what} name must be 1 to 63 of a-z, 0-9 and inner hyphens`);
}

export function checkTarget(host: string, port: number): Result<void, Refusal> {
  if (HOST.test(host) && isPort(port)) return ok(undefined);
  return refuse('ADDRESS_INVALID', 'an address is HOST:PORT or [IPv6]:PORT with a port from 1 to 65535');
}

/** `host:port` or `[v6]:port`. */
export function isAddress(text: string): boolean {
  const parts = ADDRESS.exec(text);
  return parts !== null && isPort(Number(parts[3]));
}

/** Keeps what a snapshot can hold of the addresses that a node says it has. */
export function usableAddresses(addresses: readonly string[]): readonly string[] {
  return [...new Set(addresses.filter((address) => isAddress(address)))].slice(0, SNAPSHOT_ADDRESS_LIMIT);
}

export function checkGrant(grant: NodeGrant): Result<NodeGrant, Refusal> {
  const name = checkName(grant.node, 'a node');
  if (!name.ok) return name;
  if (!labelsFit(grant.labels)) {
    return refuse('LABELS_INVALID', `labels are at most ${SNAPSHOT_LABEL_LIMIT} pairs of letters, digits and . _ / -`);
  }
  const links = grant.links ?? [];
  if (links.length > LINK_LIMIT || links.includes(grant.node) || !links.every((link) => isNodeName(link))) {
    return refuse('LINKS_INVALID', `links are at most ${LINK_LIMIT} names of other nodes`);
  }
  return ok(grant);
}

function labelsFit(labels: Readonly<Record<string, string>>): boolean {
  const entries = Object.entries(labels);
  return entries.length <= SNAPSHOT_LABEL_LIMIT && entries.every(([key, value]) => isLabel(key) && isLabel(value));
}

function isLabel(text: string): boolean {
  return text.length <= SNAPSHOT_LABEL_LIMIT_CHARS && LABEL.test(text);
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65_535;
}
