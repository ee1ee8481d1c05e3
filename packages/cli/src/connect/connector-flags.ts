// The options of `inferwire connect` in the shape of a configuration file.
import type { ConfigInput } from '@inferwire/connector'

/** What commander collects. */
export interface ConnectFlags {
  readonly config?: string
  readonly broker?: string
  /** `NAME=URL[,protocolVersion=VERSION][,modelName=NAME]`, one for each --model. */
  readonly model?: readonly string[]
  readonly name?: string
  readonly root?: string
  readonly clientId?: string
  readonly username?: string
  readonly passwordFile?: string
  readonly share?: string
  readonly adminHost?: string
  readonly adminPort?: number
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error'
  readonly logFormat?: 'auto' | 'json' | 'pretty'
}

/** The part of a configuration that flags set; `models` are those of --model by name. */
export function connectorFlags(flags: ConnectFlags, models: Readonly<Record<string, object>>): ConfigInput {
  // What was not given is undefined here, and the configuration room leaves that out.
  return {
    name: flags.name,
    root: flags.root,
    broker: {
      url: flags.broker,
      clientId: flags.clientId,
      username: flags.username,
      passwordFile: flags.passwordFile,
      share: flags.share,
    },
    models: models as ConfigInput['models'],
    admin: { host: flags.adminHost, port: flags.adminPort },
    log: { level: flags.logLevel, format: flags.logFormat },
  }
}
