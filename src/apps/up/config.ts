import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { CodedError } from '#control/coded-error.ts';

/** How ports are chosen: a block from `base`, or free ones. */
export type PortChoice = { readonly kind: 'base'; readonly base: number } | { readonly kind: 'free' };

/** Everything that decides how `x0 up` runs. */
export interface UpConfig {
  readonly dataDir: string;
  /** Whether commands find the directory without being told. */
  readonly isDefaultDataDir: boolean;
  /** Where enrolment and the relays' links listen; everything else stays on loopback. */
  readonly host: string;
  /** Undefined: as last time in this data directory, else the documented ones. */
  readonly ports: PortChoice | undefined;
  /** How a person starts this program, for the lines that are printed. */
  readonly command: string;
}

/** What the command line gives. */
export interface UpFlags {
  readonly dataDir?: string;
  readonly host?: string;
  readonly portsBase?: string;
  readonly ephemeral?: boolean;
}

/** A block of `--ports-base`; see `portBlock`. */
export const PORTS_OF_A_MESH = 27;

/** Reads the flags; throws a `CodedError` with `USAGE` on what cannot be. */
export function parseUpConfig(flags: UpFlags, defaultDataDir: string, command: string): UpConfig {
  const host = flags.host ?? '127.0.0.1';
  if (isIP(host) === 0 || ['0.0.0.0', '::'].includes(host)) {
    throw new CodedError('USAGE', `--host ${host}: write one IP address of this host, others will dial it`);
  }
  const dataDir = resolve(flags.dataDir ?? defaultDataDir);
  return { dataDir, isDefaultDataDir: dataDir === defaultDataDir, host, ports: parsePorts(flags), command };
}

function parsePorts(flags: UpFlags): PortChoice | undefined {
  if (flags.ephemeral === true && flags.portsBase !== undefined) {
    throw new CodedError('USAGE', '--ephemeral and --ports-base exclude each other');
  }
  if (flags.ephemeral === true) return { kind: 'free' };
  if (flags.portsBase === undefined) return undefined;
  const base = Number(flags.portsBase);
  if (!Number.isInteger(base) || base < 1024 || base + PORTS_OF_A_MESH > 65_535) {
    throw new CodedError(
      'USAGE',
      `--ports-base ${flags.portsBase}: write a port from 1024 to ${65_535 - PORTS_OF_A_MESH}`,
    );
  }
  return { kind: 'base', base };
}
