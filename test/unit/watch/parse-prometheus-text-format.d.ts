declare module 'parse-prometheus-text-format' {
  /** What comes back is checked by whoever asks: its package has no types. */
  export default function parsePrometheusTextFormat(text: string): unknown;
}
