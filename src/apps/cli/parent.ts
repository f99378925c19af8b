import type { ChildMessage } from '#io/child-programs/child-program.ts';

/** Something that serves until it is stopped. `stop` may be called while `start` has not resolved. */
export interface Service {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Fulfilled when it is to be stopped though nobody asked this process; undefined before it has started. */
  readonly drained?: Promise<void> | undefined;
}

/** Tells the process that started this one, if it listens; resolves when it was sent or the parent is gone. */
export async function tellParent(message: ChildMessage): Promise<void> {
  await new Promise<void>((resolve) => {
    if (!process.connected || process.send === undefined) resolve();
    else process.send(message, undefined, undefined, () => resolve());
  });
}

/** A service of a function that resolves to what can be stopped. */
export function serviceOf(run: () => Promise<Pick<Service, 'stop' | 'drained'>>): Service {
  let running: Pick<Service, 'stop' | 'drained'> | undefined;
  return {
    start: async () => {
      running = await run();
    },
    stop: async () => {
      await running?.stop();
    },
    get drained() {
      return running?.drained;
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
  const isDrained = service.drained?.then(() => 'drained' as const) ?? asked.promise;
  if ((await Promise.race([asked.promise, isDrained])) === 'drained') await tellParent({ type: 'drained' });
  await service.stop();
  process.exit(0);
}
