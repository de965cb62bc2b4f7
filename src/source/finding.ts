/** What is found in a description that its words alone do not show. */

/** About the word at `path`. A warning does not keep a source from being used. */
export interface Finding {
  readonly path: readonly string[];
  readonly message: string;
  readonly isWarning: boolean;
}

export function problem(path: readonly string[], message: string): Finding {
  return { path, message, isWarning: false };
}

export function warning(path: readonly string[], message: string): Finding {
  return { path, message, isWarning: true };
}
