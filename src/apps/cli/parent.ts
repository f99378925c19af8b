import type { ChildMessage } from '#io/child-programs/child-program.ts';

/** Something that serves until it is stopped. `stop` may be called while `start` has not resolved. */
export interface Service {
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Tells the process that started this one, if it listens; resolves when it was sent or the parent is gone. */
export async function tellParent(message: ChildMessage): Promise<void> {
  await new Promise<void>((resolve) => {
    if (!process.connected || process.send === undefined) resolve();
    else process.send(message, undefined, undefined, () => resolve());
  });
}

/** A service of a function that resolves to what can be stopped. */
export function serviceOf(run: () => Promise<{ stop(): Promise<void> }>): Service {
  let running: { stop(): Promise<void> } | undefined;
  return {
    start: async () => {
      running = await run();
    },
    stop: async () => {
      await running?.stop();
    },
  };
}

/** Serves until a signal comes or the parent is gone, then stops once and ends the process. */
export async function serveUntilStopped(service: Service): Promise<void> {
  const asked = Promise.withResolvers<'asked'>();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => asked.resolve('asked'));
  if (process.connected) process.once('disconnect', () => asked.resolve('asked'));
  const first = await Promise.race([service.start(), asked.promise]);
  if (first === undefined) await tellParent({ type: 'ready' });
  await asked.promise;
  await service.stop();
  process.exit(0);
}
