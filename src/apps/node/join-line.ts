import { join } from 'node:path';
import { shellWord } from '#kernel/plain-text.ts';
import { parseHostPort } from '#io/edge-listener/host-port.ts';
import { parseJoinToken } from '#trust/token.ts';

/** What a line to join by must say. */
export interface JoinLine {
  /** How a person starts this program here. */
  readonly command: string;
  readonly token: string;
  readonly node: string;
  /** The control plane's. */
  readonly dataDir: string;
  readonly relay?: boolean;
  /** Where the node accepted links before; undefined where that is for the reader to choose. */
  readonly link?: string | undefined;
}

/**
 * The command that joins a node, with a directory of its own: two nodes on one host never share one, nor does a node take
 * the place of another that was there.
 */
export function formatJoinLine({ command, token, node, dataDir, relay = false, link }: JoinLine): string {
  const directory = isForThisHost(token) ? join(dataDir, 'nodes', node) : join('.x0', 'nodes', node);
  const role = relay ? ` --relay --link ${link ?? 'HOST:PORT'}` : '';
  return `${command} node --join ${token}${role} --data-dir ${shellWord(directory)}`;
}

/** A token whose every address is loopback is of no use elsewhere, so the directory can be named in full. */
function isForThisHost(token: string): boolean {
  const parsed = parseJoinToken(token);
  return !parsed.ok || parsed.value.addresses.every((address) => isLoopback(parseHostPort(address)?.host ?? ''));
}

function isLoopback(host: string): boolean {
  return host === '::1' || host === 'localhost' || host.startsWith('127.');
}
