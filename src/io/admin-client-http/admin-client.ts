import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { codeOf } from '#kernel/code-of.ts';
import { isCodeShaped } from '#kernel/plain-text.ts';
import { CodedError } from '#control/coded-error.ts';
import { type HostPort, parseHostPort } from '../edge-listener/host-port.ts';
import { request } from '../http-node/http.ts';
import type { SavedSession } from './session-file.ts';

/** Longer than any question the control plane passes on to a node. */
const ANSWER_TIMEOUT_MS = 15_000;

/** A control plane that never comes to an end is none; its longest list has 5,000 entries in pages of 200. */
const PAGE_LIMIT = 1_000;

/** A JSON object whose members nobody has looked at yet. */
export type JsonObject = Readonly<Record<string, unknown>>;

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** Instead of what lies in the data directory. */
export interface OwnCredential extends Partial<SavedSession> {
  /** For requests that need no credential. */
  readonly isOpen?: boolean;
}

/** Speaks to the control plane whose data directory this is, with the token that lies there unless another is given. */
export class AdminClient {
  readonly #dataDir: string;
  readonly #own: OwnCredential;

  constructor(dataDir: string, own: OwnCredential = {}) {
    this.#dataDir = dataDir;
    this.#own = own;
  }

  /**
   * Asks `path` (under `/api/v1`). Rejects with a `CodedError`: the control plane's own code, or `CONTROL_NOT_FOUND`,
   * `CONTROL_UNREACHABLE`, `CONTROL_ANSWER`.
   */
  async ask(method: Method, path: string, body?: JsonObject): Promise<JsonObject> {
    const [address, token] = await Promise.all([this.#readAddress(), this.#readToken()]);
    const { status, content } = await exchange(address, token, { method, path: `/api/v1${path}`, body });
    if (status === 204) return {};
    const answer = parseAnswer(content);
    if (status >= 200 && status < 300) return answer;
    throw refusalOf(status, answer);
  }

  /** Asks for every page of a list and puts the lists at `keys` together. Rejects like {@link AdminClient.ask}. */
  async askAll(path: string, ...keys: readonly string[]): Promise<JsonObject> {
    const all: Record<string, unknown> = {};
    let cursor: unknown;
    for (let page = 0; page < PAGE_LIMIT; page++) {
      const { nextCursor, ...answer } = await this.ask(
        'GET',
        typeof cursor === 'string' ? `${path}?cursor=${cursor}` : path,
      );
      for (const [key, value] of Object.entries(answer))
        all[key] = keys.includes(key) ? [...listOf(all[key]), ...listOf(value)] : value;
      cursor = nextCursor;
      if (typeof cursor !== 'string') return all;
    }
    throw new CodedError('CONTROL_ANSWER', `the control plane’s list at ${path} does not end`);
  }

  async #readAddress(): Promise<HostPort> {
    if (this.#own.api !== undefined) return parseApi(this.#own.api);
    const path = join(this.#dataDir, 'control.json');
    const found = parseJson(await this.#read(path));
    const admin = isObject(found) ? found['admin'] : undefined;
    const address =
      typeof admin === 'string' ? parseHostPort(admin.replace(/^http:\/\//, '').replace(/\/$/, '')) : undefined;
    if (address === undefined)
      throw new CodedError('CONTROL_NOT_FOUND', `${path} does not say where the control plane is`);
    return address;
  }

  async #readToken(): Promise<string> {
    if (this.#own.isOpen === true) return '';
    if (this.#own.token !== undefined) return this.#own.token;
    const path = join(this.#dataDir, 'admin.token');
    const token = (await this.#read(path)).trim();
    if (/^[!-~]+$/.test(token)) return token;
    throw new CodedError('DATA_DAMAGED', `${path} holds no credential; remove it and start the control plane again`);
  }

  async #read(path: string): Promise<string> {
    try {
      return await readFile(path, 'utf8');
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (codeOf(error) === 'ENOTDIR')
        throw new CodedError('DATA_DIR_UNUSABLE', `${this.#dataDir} is not a directory; give --data-dir another`);
      throw new CodedError('CONTROL_NOT_FOUND', `no control plane has run in ${this.#dataDir} (${error.message})`);
    }
  }
}

function parseApi(text: string): HostPort {
  const address = parseHostPort(text);
  if (address === undefined) throw new CodedError('USAGE', `${text}: write the control plane as HOST:PORT`);
  return address;
}

interface Question {
  readonly method: Method;
  readonly path: string;
  readonly body: JsonObject | undefined;
}

async function exchange(at: HostPort, token: string, question: Question): Promise<{ status: number; content: string }> {
  const credential = token === '' ? {} : { authorization: `Bearer ${token}` };
  const headers = { ...credential, 'content-type': 'application/json', connection: 'close' };
  return new Promise((resolve, reject) => {
    const { method, path, body } = question;
    const asked = request({
      ...at,
      method,
      path,
      headers: body === undefined ? withoutType(headers) : headers,
      agent: false,
    });
    asked.setTimeout(ANSWER_TIMEOUT_MS, () => asked.destroy(new Error(`no answer in ${ANSWER_TIMEOUT_MS} ms`)));
    asked.once('error', (error) => {
      reject(new CodedError('CONTROL_UNREACHABLE', `no control plane at ${at.host}:${at.port} (${error.message})`));
    });
    asked.once('response', (response) => {
      text(response).then((content) => resolve({ status: response.statusCode ?? 0, content }), reject);
    });
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function withoutType(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name !== 'content-type'));
}

function parseAnswer(content: string): JsonObject {
  const answer = content === '' ? {} : parseJson(content);
  if (isObject(answer)) return answer;
  throw new CodedError('CONTROL_ANSWER', 'what answers there is not a control plane of x0');
}

/** Undefined for what is no JSON. */
function parseJson(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function refusalOf(status: number, answer: JsonObject): CodedError {
  const envelope = answer['error'];
  if (!isObject(envelope)) return new CodedError('CONTROL_ANSWER', `the control plane answered ${status}`);
  const { code, message } = envelope;
  return new CodedError(
    typeof code === 'string' && isCodeShaped(code) ? code : 'CONTROL_ANSWER',
    typeof message === 'string' ? message : `status ${status}`,
  );
}

/** Whether `value` is a JSON object and no array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
