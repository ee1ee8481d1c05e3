// Declares `inferwire connect`.
import { protocolVersions } from '@inferwire/protocol'
import { Command, Option } from 'commander'
import { parsePort } from '../broker-flags.ts'
import { setExamples } from '../examples.ts'
import type { ConnectFlags } from '../connect/connector-flags.ts'

/** Builds the command. */
export function connectCommand(): Command {
  const command = new Command('connect')
    .summary('run the connector')
    .description(
      'Run the connector: receive requests from the broker, call the models, publish the replies.\n' +
        'Options override INFERWIRE_* variables, which override the file.\n' +
        'On SIGTERM or Ctrl-C, the connector finishes its requests and stops. On SIGHUP, or when the file changes, it reloads the configuration.',
    )
    .option(
      '-c, --config <FILE>',
      'configuration file, YAML (env: INFERWIRE_CONFIG); to print its format: inferwire config schema',
    )
    .option(
      '--model <NAME=URL>',
      `expose a model; repeatable; append settings after commas: protocolVersion=${protocolVersions().sort().join('|')}, modelName=NAME, host=HOST`,
      (text: string, before: readonly string[] | undefined) => [...(before ?? []), text],
    )
    .option('--broker <URL>', 'broker URL: mqtt, mqtts, ws or wss')
    .option('-u, --username <USER>', 'user name for the broker')
    .option('--password-file <FILE>', 'file with the password; reread when it changes')
    .optionsGroup('Identity and topics:')
    .option('--name <NAME>', 'name of this connector in {root}/status/{name}')
    .option('--root <TOPIC>', 'first level of the topics')
    .option('--client-id <ID>', 'MQTT client identifier; keep it stable, because it identifies the session')
    .option('--share <GROUP>', 'share the requests with the other connectors in this group')
    .optionsGroup('Operation:')
    .addOption(
      new Option('--log-level <LEVEL>', 'lowest level to log').choices(['debug', 'info', 'warn', 'error']),
    )
    .addOption(
      new Option('--log-format <FORMAT>', 'auto: pretty on a terminal, otherwise json').choices([
        'auto',
        'json',
        'pretty',
      ]),
    )
    .option('--admin-host <HOST>', 'address of /livez, /readyz and /metrics')
    .option('--admin-port <PORT>', 'port of /livez, /readyz and /metrics; 0 = any free port', parsePort)
    .action(async (flags: ConnectFlags) => {
      const { runConnector } = await import('../connect/run-connector.ts')
      process.exitCode = await runConnector(flags)
    })
  return setExamples(command, [
    ['inferwire connect --model iris=http://127.0.0.1:8080', 'expose one model on the local broker'],
    ['inferwire connect -c inferwire.yaml', 'read the configuration from a file'],
    [
      'inferwire connect -c inferwire.yaml --broker mqtts://broker.example:8883 -u inferwire --password-file ./password',
      'override the broker in the file, and log in',
    ],
  ])
}
