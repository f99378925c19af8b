import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { plainJson } from '#kernel/plain-text.ts';
import { CodedError } from '#control/coded-error.ts';
import {
  AuditVerifier,
  type AuditCheckpoint,
  type AuditEntry,
  type AuditFault,
  type AuditHead,
} from '#control/audit/chain.ts';
import { isObject, type JsonObject } from '#io/admin-client-http/admin-client.ts';
import type { auditVerifyPorts } from '#io/x509-asn1/audit-verifier.ts';
import { clientOf, type CommonFlags, type Context, printAs } from './context.ts';
import { type Column, dateText, formatTable, member, objectsOf } from './table.ts';

interface VerifyFlags extends CommonFlags {
  readonly root?: string;
}

interface ListFlags extends CommonFlags {
  readonly last: string;
  readonly limit?: string;
}

/** Everything of a log: entries and checkpoints as the API gives them. */
interface WholeLog {
  readonly entries: readonly JsonObject[];
  readonly checkpoints: readonly JsonObject[];
}

const LAST_MOST = 10_000;

const FAULTS: Readonly<Record<AuditFault['code'], string>> = {
  AUDIT_GAP: 'is missing or in another place',
  AUDIT_CHANGED: 'is not what was recorded',
  AUDIT_CUT: 'and what follows was cut off, though a checkpoint vouches for it',
  AUDIT_FORGED: 'has a checkpoint that nobody of this mesh signed',
};

const COLUMNS: readonly Column[] = [
  member('NUMBER', 'seq'),
  { title: 'WHEN', show: ({ body }) => dateText(isObject(body) ? new Date(Number(body['atMs'])).toISOString() : '') },
  ...(['actor', 'action', 'target', 'outcome'] as const).map((key) => ofBody(key)),
];

/** `x0 audit list`, `export` and `verify`. */
export function addAuditCommands(program: Command, context: Context): void {
  const audit = program.command('audit').description('the log of every change and every denial');
  audit
    .command('list')
    .description('print the last entries')
    .option('--last <count>', 'how many', '50')
    .option('--limit <count>', 'the same as --last')
    .option('--json', 'print JSON')
    .action(async (_flags: unknown, command: Command) => list(context, command.optsWithGlobals<ListFlags>()));
  audit
    .command('export')
    .description('print the whole log with its checkpoints, a line of JSON each')
    .action(async (_flags: unknown, command: Command) => {
      const { entries, checkpoints } = await readLog(context, command.optsWithGlobals());
      const lines = [
        ...entries.map((entry) => ({ type: 'entry', ...entry })),
        ...checkpoints.map((checkpoint) => ({ type: 'checkpoint', ...checkpoint })),
      ];
      context.print(lines.map((line) => plainJson(line)).join('\n'));
    });
  audit
    .command('verify [file]')
    .description('check that no entry was changed, dropped, moved or cut off: of the control plane, or of an export')
    .option('--root <file>', 'root certificate of the mesh (default: root.crt of the data directory)')
    .option('--json', 'print JSON')
    .action(async (file: string | undefined, _flags: unknown, command: Command) =>
      verify(context, command.optsWithGlobals<VerifyFlags>(), file),
    );
}

async function list(context: Context, flags: ListFlags): Promise<void> {
  const text = flags.limit ?? flags.last;
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > LAST_MOST)
    throw new CodedError('USAGE', `--last ${text}: write a number from 1 to ${LAST_MOST}`);
  const answer = await clientOf(context, flags).askAll('/audit', 'entries');
  const last = objectsOf(answer, 'entries').slice(-count);
  printAs(context, flags, { entries: last }, () => formatTable(COLUMNS, last, 'nothing was recorded yet'));
}

async function verify(context: Context, flags: VerifyFlags, file: string | undefined): Promise<void> {
  const log = file === undefined ? await readLog(context, flags) : parseExport(readText(file));
  const { rootFromFile, auditVerifyPorts: portsOf } = await loadVerifier();
  const root = rootFromFile(flags.root ?? join(flags.dataDir ?? context.config.dataDir, 'root.crt'));
  const checkpoints = log.checkpoints.map(toCheckpoint);
  const certificates = new Map(log.checkpoints.map((each) => [String(each['signerHash']), certificatesOf(each)]));
  const verifier = new AuditVerifier(checkpoints, portsOf(root, certificates));
  for (const entry of log.entries) {
    const fault = verifier.handleEntry(entry as unknown as AuditEntry);
    if (fault !== undefined) throw faultError(fault);
  }
  const end = verifier.handleEnd();
  if (!end.ok) throw faultError(end.error);
  const signedUpTo = Math.max(0, ...checkpoints.map(({ seq }) => seq));
  const answer = { ...end.value, signedUpTo };
  printAs(context, flags, answer, () => verdict(end.value, signedUpTo));
}

function verdict({ seq, hash }: AuditHead, signedUpTo: number): string {
  const open = seq - signedUpTo;
  const rest = open === 0 ? '' : `; the last ${open} wait for the next checkpoint`;
  return `${seq} entries are whole, signed up to ${signedUpTo}${rest}\nlast hash ${hash}: keep it elsewhere, an export made later must contain it`;
}

function faultError({ code, seq }: AuditFault): CodedError {
  return new CodedError(code, `entry ${seq} ${FAULTS[code]}`);
}

async function readLog(context: Context, flags: CommonFlags): Promise<WholeLog> {
  const client = clientOf(context, flags);
  // Checkpoints first: one that is made meanwhile would vouch for entries that were not read.
  const signed = await client.askAll('/audit/checkpoints', 'checkpoints');
  const recorded = await client.askAll('/audit', 'entries');
  return { entries: objectsOf(recorded, 'entries'), checkpoints: objectsOf(signed, 'checkpoints') };
}

function parseExport(text: string): WholeLog {
  const lines = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => parseLine(line));
  return {
    entries: lines.filter((line) => line['type'] === 'entry'),
    checkpoints: lines.filter((line) => line['type'] === 'checkpoint'),
  };
}

function parseLine(line: string): JsonObject {
  try {
    const value: unknown = JSON.parse(line);
    if (isObject(value) && ['entry', 'checkpoint'].includes(String(value['type']))) return value;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new CodedError('AUDIT_UNREADABLE', 'a line is neither an entry nor a checkpoint of an audit log');
}

function toCheckpoint(value: JsonObject): AuditCheckpoint {
  const { seq, atMs } = value;
  if (typeof seq !== 'number' || typeof atMs !== 'number')
    throw new CodedError('AUDIT_UNREADABLE', 'a checkpoint cannot be read');
  const signature = fromBase64(value['signature']);
  return { seq, atMs, hash: String(value['hash']), signerHash: String(value['signerHash']), signature };
}

function certificatesOf(value: JsonObject): { readonly signer: Uint8Array; readonly issuer: Uint8Array } {
  return { signer: fromBase64(value['signer']), issuer: fromBase64(value['issuer']) };
}

function fromBase64(value: unknown): Uint8Array {
  return new Uint8Array(Buffer.from(String(value), 'base64'));
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new CodedError('AUDIT_UNREADABLE', `${path} cannot be read`, { cause: error });
  }
}

function ofBody(key: string): Column {
  const { title, show } = member(key.toUpperCase(), key);
  return { title, show: ({ body }) => show(isObject(body) ? body : {}) };
}

/** Loaded late: other commands need no X.509. */
async function loadVerifier(): Promise<{
  readonly rootFromFile: (path: string) => Uint8Array;
  readonly auditVerifyPorts: typeof auditVerifyPorts;
}> {
  const [{ X509Certificate }, verifier] = await Promise.all([
    import('node:crypto'),
    import('#io/x509-asn1/audit-verifier.ts'),
  ]);
  const rootFromFile = (path: string): Uint8Array => {
    try {
      return new Uint8Array(new X509Certificate(readText(path)).raw);
    } catch (error) {
      throw new CodedError('AUDIT_UNREADABLE', `${path} is no root certificate: give --root`, { cause: error });
    }
  };
  return { rootFromFile, auditVerifyPorts: verifier.auditVerifyPorts };
}
