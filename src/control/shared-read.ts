/**
 * One read at a time, which answers everybody who asked before it began: a crowd costs as much as two. Who asks while a read is
 * under way gets the next one, so that nobody is told less than was true when it asked.
 */
export class SharedRead<T> {
  readonly #load: () => Promise<T>;
  #current: Promise<T> | undefined;
  #next: Promise<T> | undefined;

  constructor(load: () => Promise<T>) {
    this.#load = load;
  }

  async read(): Promise<T> {
    if (this.#current === undefined) return await this.#start();
    this.#next ??= this.#afterwards(this.#current);
    return await this.#next;
  }

  async #afterwards(current: Promise<T>): Promise<T> {
    await Promise.allSettled([current]);
    this.#next = undefined;
    return await this.#start();
  }

  async #start(): Promise<T> {
    const current = this.#load();
    this.#current = current;
    try {
      return await current;
    } finally {
      if (this.#current === current) this.#current = undefined;
    }
  }
}
