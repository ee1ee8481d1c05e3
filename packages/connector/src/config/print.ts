// The effective configuration as YAML, secrets masked.
import { Document, isMap } from 'yaml'
import type { ConnectorConfig } from './schema.ts'
import { MASK } from './secret.ts'

/**
 * What `inferwire config print` shows: YAML that can be loaded again. A secret is a comment with `***` in it, because
 * a configuration file takes none.
 */
export function printConfig(config: ConnectorConfig): string {
  const { password, ...broker } = config.broker
  // JSON first: it drops what is undefined.
  const document = new Document(JSON.parse(JSON.stringify({ ...config, broker })))
  const section = document.get('broker')
  if (password !== undefined && isMap(section)) {
    section.commentBefore = ` password: "${MASK}" (from the environment)`
  }
  return document.toString({ lineWidth: 0 })
}
