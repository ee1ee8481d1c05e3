// The broker's password at the moment of a connection.
import { readFileSync } from 'node:fs'
import type { BrokerConfig } from './schema.ts'

/** Reads the file again, so that a rotated password is used. @throws when the file cannot be read. */
export function readPassword(broker: Pick<BrokerConfig, 'password' | 'passwordFile'>): string | undefined {
  if (broker.passwordFile === undefined) return broker.password?.reveal()
  // An editor's last line break is not part of a password.
  return readFileSync(broker.passwordFile, 'utf8').replace(/\r?\n$/, '')
}
