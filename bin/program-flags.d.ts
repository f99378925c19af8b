export declare const PROGRAM_FLAGS: readonly string[];
export declare const PROGRAM_ENVIRONMENT: Readonly<Record<string, string>>;
