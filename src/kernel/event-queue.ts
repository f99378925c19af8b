/** What a machine has to tell: filled while it handles an input, drained by its driver right after, so its length is the input's. */
export class EventQueue<T> {
  #items: T[] = [];
  #head = 0;

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** The oldest item, or undefined. */
  poll(): T | undefined {
    const item = this.#items[this.#head];
    if (item === undefined) return undefined;
    this.#head++;
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    }
    return item;
  }
}
