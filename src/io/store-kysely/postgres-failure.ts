import { codeOf } from '#kernel/code-of.ts';
import { CodedError } from '#control/coded-error.ts';

interface Failure {
  readonly code: string;
  readonly message: string;
}

const DOWN: Failure = { code: 'DATABASE_DOWN', message: 'the database cannot be reached' };
const TIMEOUT: Failure = { code: 'DATABASE_TIMEOUT', message: 'the database did not answer in time' };
const BUSY: Failure = { code: 'DATABASE_BUSY', message: 'the database has too much to do at once' };
const FULL: Failure = { code: 'DISK_FULL', message: 'the disk of the database is full' };
const REFUSED: Failure = { code: 'DATABASE_DOWN', message: 'the database refuses the user, the password or the name' };
const READ_ONLY: Failure = { code: 'DATABASE_DOWN', message: 'the database takes no changes: it is a standby' };

/** SQLSTATE (PostgreSQL documentation, appendix A), and what the system says of a server that is away. */
const BY_CODE: readonly (readonly [codes: RegExp, Failure])[] = [
  [/^(?:ECONN|EHOST|ENET|ENOTFOUND|EAI_|EPIPE|ETIMEDOUT|ENOENT|08|57P0)/, DOWN],
  [/^(?:28|3D000)/, REFUSED],
  [/^25006$/, READ_ONLY],
  [/^(?:57014|25P03|25P04)$/, TIMEOUT],
  [/^(?:55P03|40001|40P01|53300|53200)$/, BUSY],
  [/^53100$/, FULL],
];

/** What the driver itself says has no code. */
const BY_MESSAGE: readonly (readonly [messages: RegExp, Failure])[] = [
  [
    /timeout exceeded when trying to connect|Connection terminated|has encountered a connection error|not queryable/,
    DOWN,
  ],
  [/Query read timeout/, TIMEOUT],
];

/** The error in this program's words; strangers read them, so neither the server's address nor its text is among them. */
export function postgresFailure(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof CodedError) return error;
  const given = codeOf(error) ?? '';
  const { code, message } = BY_CODE.find(([codes]) => codes.test(given))?.[1] ??
    BY_MESSAGE.find(([messages]) => messages.test(error.message))?.[1] ?? { code: '', message: '' };
  return code === '' ? error : new CodedError(code, message, { cause: error });
}

/** Whether a transaction that failed so may be tried again at once: another one was in its way. */
export function isCollision(error: unknown): boolean {
  return error instanceof Error && ['40001', '40P01'].includes(codeOf(error.cause) ?? '');
}
