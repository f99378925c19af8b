import { AsyncLocalStorage } from 'node:async_hooks';
import type { Kysely, Transaction } from 'kysely';
import type { Tables } from '#io/store-kysely/tables.ts';
import { transact } from '#io/store-kysely/transact.ts';

/** What is to be written with the first change that is made under it. */
interface Scope {
  readonly write: (on: Transaction<Tables>) => Promise<void>;
  isWritten: boolean;
}

const scopes = new AsyncLocalStorage<Scope>();

/** Does `work`; `write` becomes part of its first change, and what comes back says whether there was one. */
export async function withFirstChange<T>(
  write: Scope['write'],
  work: () => Promise<T>,
): Promise<{ readonly value: T; readonly isWritten: boolean }> {
  const scope: Scope = { write, isWritten: false };
  const value = await scopes.run(scope, work);
  return { value, isWritten: scope.isWritten };
}

/** As {@link transact}, for what the audit log tells of; by default false and a text, a refusal's code, say that nothing changed. */
export async function change<R>(
  database: Kysely<Tables>,
  work: (on: Transaction<Tables>) => Promise<R>,
  isChange = (result: R): boolean => result !== false && typeof result !== 'string',
): Promise<R> {
  const scope = scopes.getStore();
  if (scope === undefined || scope.isWritten) return await transact(database, work);
  const { result, isChanged } = await transact(database, async (on) => {
    const done = await work(on);
    const isDone = isChange(done);
    if (isDone) await scope.write(on);
    return { result: done, isChanged: isDone };
  });
  scope.isWritten ||= isChanged;
  return result;
}
