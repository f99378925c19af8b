/** One version of a policy. */
export interface StoredPolicy {
  readonly name: string;
  /** From 1; it goes on when a deleted name is used again. */
  readonly version: number;
  /** Cedar, as its author wrote it. */
  readonly text: string;
  /** The statements of `text`, in their order. */
  readonly statements: readonly string[];
  readonly enabled: boolean;
  /** This version says that there is none. */
  readonly deleted: boolean;
  /** Unix milliseconds. */
  readonly changedAtMs: number;
  /** Who made this version. */
  readonly changedBy: string;
}

/** Of each policy so many versions are kept, the latest ones. */
export const KEPT_VERSIONS = 50;

/** The operator's policies. Each method is atomic and durable when its promise resolves; `tests/fixtures/policy-store-suite.ts` is the specification. */
export interface PolicyStore {
  /**
   * Makes the next version of a name. With `expected` only if that is the present version (0: if there never was one); undefined,
   * and nothing stored, otherwise.
   */
  put(policy: Omit<StoredPolicy, 'version'>, expected?: number): Promise<StoredPolicy | undefined>;
  /** The present version, also of a deleted one. */
  find(name: string): Promise<StoredPolicy | undefined>;
  /** Present versions of all that are not deleted, by name. */
  list(): Promise<readonly StoredPolicy[]>;
  /** The newest first, at most {@link KEPT_VERSIONS}. */
  versions(name: string): Promise<readonly StoredPolicy[]>;
}
