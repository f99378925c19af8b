import { isIPv6 } from 'node:net';

const V4_MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;
const GROUPS = 8;
/** A /64: one site of IPv6 has as many addresses in it as it likes. */
const BLOCK_GROUPS = 4;

/** What counts as one address: an IPv4 address, or the /64 of an IPv6 one. */
export function addressBlock(address: string): string {
  const [, mapped] = V4_MAPPED.exec(address) ?? [];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.replace(/%.*$/, '').toLowerCase().split('::');
  const first = groupsOf(head);
  const last = groupsOf(tail ?? '');
  const zeros = Array.from({ length: Math.max(0, GROUPS - first.length - last.length) }, () => '0');
  const block = [...first, ...zeros, ...last].slice(0, BLOCK_GROUPS);
  return `${block.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`;
}

function groupsOf(text: string): readonly string[] {
  return text === '' ? [] : text.split(':');
}
