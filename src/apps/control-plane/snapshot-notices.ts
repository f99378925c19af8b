import type { ControlPlane } from '#control/control-plane.ts';
import type { SharedState } from '#control/shared.ts';

const CHANNEL = 'snapshot';

/** Tells the other replicas of each new version, and publishes when they tell of one; without Redis the next look does that. */
export class SnapshotNotices {
  readonly #control: ControlPlane;
  readonly #onFailure: (error: unknown) => void;
  readonly #stop: () => void;
  #told = 0;
  /** One more publication is enough for all notices that come while one is under way. */
  #isDue = false;
  #isPublishing = false;

  constructor(control: ControlPlane, shared: SharedState, onFailure: (error: unknown) => void) {
    this.#control = control;
    this.#onFailure = onFailure;
    this.#stop = shared.subscribe(CHANNEL, (text) => this.#handleNotice(Number(text)));
    control.onPublished(() => {
      const version = this.#version;
      if (version <= this.#told) return;
      this.#told = version;
      void shared.publish(CHANNEL, `${version}`);
    });
  }

  close(): void {
    this.#stop();
  }

  get #version(): number {
    return this.#control.publisher.current?.header.version ?? 0;
  }

  #handleNotice(version: number): void {
    if (!Number.isSafeInteger(version) || version <= this.#version) return;
    // It needs not be told back.
    this.#told = Math.max(this.#told, version);
    this.#isDue = true;
    if (!this.#isPublishing) void this.#publish();
  }

  async #publish(): Promise<void> {
    this.#isPublishing = true;
    try {
      while (this.#isDue) {
        this.#isDue = false;
        await this.#control.publish();
      }
    } catch (error) {
      this.#onFailure(error);
    } finally {
      this.#isPublishing = false;
    }
  }
}
