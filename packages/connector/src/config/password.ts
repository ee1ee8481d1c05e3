// Reads the broker's password for a connection.
import { readFileSync } from 'node:fs'
import type { BrokerConfig } from './schema.ts'

/**
 * Returns the password. The file is read on every call, so that a rotated password is used.
 * @throws if the file cannot be read or is not UTF-8
 */
export function readPassword(broker: Pick<BrokerConfig, 'password' | 'passwordFile'>): string | undefined {
  if (broker.passwordFile === undefined) return broker.password?.reveal()
  // Editors add a line break, and some add a byte order mark; neither is part of the password.
  return utf8(readFileSync(broker.passwordFile), broker.passwordFile).replace(/\r?\n$/, '')
}

function utf8(bytes: Buffer, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new Error(`Password file "${file}" is not UTF-8: save it as UTF-8.`, { cause: error })
  }
}
