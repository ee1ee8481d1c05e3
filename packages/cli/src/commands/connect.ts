// `inferwire connect`
import { dialectNames } from '@inferwire/protocol'
import { Command, Option } from 'commander'
import { parsePort } from '../broker-flags.ts'
import { setExamples } from '../examples.ts'
import type { ConnectFlags } from '../connect/connector-flags.ts'

/** The command. */
export function connectCommand(): Command {
  const command = new Command('connect')
    .summary('run the connector')
    .description(
      'Run the connector: take requests from the broker, ask the models, publish the answers.\n' +
        'Options beat INFERWIRE_* variables, which beat the file. SIGTERM and Ctrl-C drain; SIGHUP and a changed file reload.',
    )
    .option(
      '-c, --config <FILE>',
      'configuration (YAML; env: INFERWIRE_CONFIG); see: inferwire config schema',
    )
    .option('--broker <URL>', 'broker: mqtt, mqtts, ws or wss')
    .option(
      '--model <NAME=URL>',
      `serve a model; may be given several times; more after commas: protocolVersion=${dialectNames().sort().join('|')}, modelName=NAME, host=HOST`,
      (text: string, before: readonly string[] | undefined) => [...(before ?? []), text],
    )
    .option('--name <NAME>', 'name of this connector in {root}/status/{name}')
    .option('--root <TOPIC>', 'first level of the topics')
    .option('--client-id <ID>', 'MQTT client id; keep it stable, the session belongs to it')
    .option('-u, --username <USER>', 'user name at the broker')
    .option('--password-file <FILE>', 'file that holds the password; read again when it changes')
    .option('--share <GROUP>', 'share the requests with the other connectors of this group')
    .option('--admin-host <HOST>', 'address of /livez, /readyz and /metrics')
    .option('--admin-port <PORT>', 'port of /livez, /readyz and /metrics; 0 = any free port', parsePort)
    .addOption(
      new Option('--log-level <LEVEL>', 'how much to log').choices(['debug', 'info', 'warn', 'error']),
    )
    .addOption(
      new Option('--log-format <FORMAT>', 'auto is pretty on a terminal, else json').choices([
        'auto',
        'json',
        'pretty',
      ]),
    )
    .action(async (flags: ConnectFlags) => {
      const { runConnector } = await import('../connect/run-connector.ts')
      process.exitCode = await runConnector(flags)
    })
  return setExamples(command, [
    ['inferwire connect --model iris=http://127.0.0.1:8080', 'one model, the broker on this machine'],
    ['inferwire connect -c inferwire.yaml', 'from a file'],
    [
      'inferwire connect -c inferwire.yaml --broker mqtts://broker.example:8883 -u inferwire --password-file ./password',
      'another broker than the file says, with a login',
    ],
  ])
}
