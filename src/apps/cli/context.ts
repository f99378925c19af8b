import { plainJson } from '#kernel/plain-text.ts';
import { CodedError } from '#control/coded-error.ts';
import { AdminClient } from '#io/admin-client-http/admin-client.ts';
import { readSession } from '#io/admin-client-http/session-file.ts';
import { type HostPort, parseHostPort } from '#io/edge-listener/host-port.ts';
import type { CliConfig } from './config.ts';

/** What a command works with. */
export interface Context {
  readonly config: CliConfig;
  /** Whether a person reads what is printed, not a script. */
  readonly isTerminal: boolean;
  readonly print: (text: string) => void;
  /** For what scripts do not read: standard error. */
  readonly warn: (text: string) => void;
  /** Asks for what is not to be seen, and is not among the arguments, which others may read. */
  readonly readSecret?: (question: string) => Promise<string>;
}

/** Options that every command has. */
export interface CommonFlags {
  readonly dataDir?: string;
  readonly json?: boolean;
}

export function dataDirOf(context: Context, flags: CommonFlags): string {
  return flags.dataDir ?? context.config.dataDir;
}

/**
 * The control plane of `--data-dir`, else of the default one, or that of X0_API: with X0_API_KEY, else as who has logged in, else
 * with admin.token.
 */
export function clientOf(context: Context, flags: CommonFlags): AdminClient {
  const dataDir = dataDirOf(context, flags);
  const { X0_API_KEY: token, X0_API: api } = context.config.environment;
  const given = { ...(token !== undefined && { token }), ...(api !== undefined && { api }) };
  return new AdminClient(dataDir, { ...(token === undefined ? readSession(dataDir) : {}), ...given });
}

/** Prints `value` as JSON if the user asked so, else `lines`. */
export function printAs(context: Context, flags: CommonFlags, value: unknown, lines: () => string): void {
  context.print(flags.json === true ? plainJson(value) : lines());
}

/** One path segment of the API. */
export function segment(name: string): string {
  return encodeURIComponent(name);
}

/** Reads an option's `HOST:PORT`; throws a `CodedError` with `USAGE`. */
export function readHostPort(option: string, text: string): HostPort {
  const address = parseHostPort(text);
  if (address === undefined || address.port === 0)
    throw new CodedError(
      'USAGE',
      `${option} ${text}: write HOST:PORT, a port from 1 to 65535, IPv6 in brackets like [::1]:5432`,
    );
  return address;
}
