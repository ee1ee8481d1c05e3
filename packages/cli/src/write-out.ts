// Writes to standard output without buffering more than the reader accepts.
import { once } from 'node:events'

/** Writes the text; resolves when more text may be written. */
export async function writeOut(text: Uint8Array | string): Promise<void> {
  if (text.length > 0 && !process.stdout.write(text)) await once(process.stdout, 'drain')
}
