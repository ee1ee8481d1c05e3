// Runs `inferwire connect`: the connector runs until a stop signal, and reloads a changed configuration.
import {
  ConfigError,
  createLog,
  loadConfig,
  parseModelFlag,
  startConnector,
  watchConfig,
  type Connector,
  type ConnectorConfig,
  type Log,
} from '@inferwire/connector'
import { EXIT } from '../exit-code.ts'
import { collectEarly } from './collect-early.ts'
import { connectorFlags, type ConnectFlags } from './connector-flags.ts'
import { expectShortLives } from './short-lived.ts'
import { SIGNAL_EXIT, stopSignal } from './stop-signal.ts'

/**
 * Resolves with the exit code after the drain.
 * @throws ConfigError, or an error if the admin port cannot be opened
 */
export async function runConnector(flags: ConnectFlags): Promise<number> {
  const stop = stopSignal()
  const file = flags.config ?? process.env['INFERWIRE_CONFIG']
  const load = (): ConnectorConfig => loadConfig({ file, env: process.env, flags: toConfig(flags) })
  const config = load()
  const log = createLog(config.log)
  dieOnFault(log)
  warnWithoutModels(config, log)
  collectEarly()
  expectShortLives()
  const connector = await startConnector(config, { log })
  if (connector.adminUrl !== undefined) {
    log.info({ event: 'admin_listening', url: connector.adminUrl }, `Listening on ${connector.adminUrl}.`)
  }
  const watch = reloadOnRequest(connector, load, log, file)
  const signal = await stop
  watch?.stop()
  // The exit code reports whether unfinished requests are left. The broker redelivers them when the connector is
  // started again.
  return (await connector.stop()) ? EXIT.ok : SIGNAL_EXIT[signal]
}

function toConfig(flags: ConnectFlags): ReturnType<typeof connectorFlags> {
  return connectorFlags(flags, Object.fromEntries((flags.model ?? []).map(parseModelFlag)))
}

function warnWithoutModels({ models, discovery }: ConnectorConfig, log: Log): void {
  if (Object.keys(models).length > 0 || discovery.enabled) return
  log.warn(
    { event: 'no_models' },
    'No models are configured, so every request is answered with model_not_found. Add --model NAME=URL, or "models" to the configuration file.',
  )
}

function reloadOnRequest(
  connector: Connector,
  load: () => ConnectorConfig,
  log: Log,
  file: string | undefined,
): { stop(): void } | undefined {
  const reload = (): void => {
    try {
      connector.reload(load())
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      log.error(
        { event: 'reload_refused', mistakes: error.mistakes },
        `The changed configuration is not valid; the previous one remains in use. ${error.message}`,
      )
    }
  }
  process.on('SIGHUP', reload)
  return file === undefined ? undefined : watchConfig(file, reload)
}

// A process in an unknown state must not continue. When the connector is started again, the broker redelivers the
// unfinished requests.
function dieOnFault(log: Log): void {
  const die = (error: unknown): void => {
    log.fatal(
      { event: 'fault', err: error instanceof Error ? { stack: error.stack } : String(error) },
      'An internal error in Inferwire. Please report it with this line.',
    )
    process.exit(EXIT.internal)
  }
  process.on('uncaughtException', die)
  process.on('unhandledRejection', die)
}
