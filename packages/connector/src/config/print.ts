// The effective configuration as YAML, secrets masked.
import { stringify } from 'yaml'
import type { ConnectorConfig } from './schema.ts'

/** What `inferwire config print` shows. A secret prints as `***`. */
export function printConfig(config: ConnectorConfig): string {
  // JSON first: it drops what is undefined, and masks secrets by type.
  return stringify(JSON.parse(JSON.stringify(config)), { lineWidth: 0 })
}
