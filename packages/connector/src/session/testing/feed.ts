// Passes bytes to a sink as a socket does.
import type { ByteSink } from '../dial.ts'

/** Passes the bytes to `sink.space` as far as it has any, and to `sink.take` otherwise. */
export function feed(sink: ByteSink, given: Buffer): void {
  let bytes = given
  while (bytes.length > 0) {
    const { space } = sink
    if (space === undefined) return sink.take(bytes)
    const count = bytes.copy(space)
    sink.filled(count)
    bytes = bytes.subarray(count)
  }
}
