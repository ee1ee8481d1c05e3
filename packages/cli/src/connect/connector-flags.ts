// Converts the options of `inferwire connect` to the structure of a configuration file.
import type { ConfigInput } from '@inferwire/connector'

/** The option values as Commander returns them. */
export interface ConnectFlags {
  readonly config?: string
  readonly broker?: string
  /** `NAME=URL[,protocolVersion=VERSION][,modelName=NAME]`, one element for each --model. */
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

/** Returns the configuration that the flags set; `models` contains the values of --model, keyed by model name. */
export function connectorFlags(flags: ConnectFlags, models: Readonly<Record<string, object>>): ConfigInput {
  // Omitted options are undefined; loadConfig ignores them.
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
