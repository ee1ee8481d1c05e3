// `inferwire manifests`
import { Command, InvalidArgumentError, Option } from 'commander'
import { setExamples } from '../examples.ts'
import type { ManifestFlags } from '../manifests/manifest-flags.ts'

/** The command. */
export function manifestsCommand(): Command {
  const command = new Command('manifests')
    .summary('print the Kubernetes objects of broker and connector')
    .description(
      'Print the Kubernetes objects of broker and connector: what the Helm chart makes, without Helm.\n' +
        'The namespaces, and the Secret with the password of the connector, are made by hand.',
    )
    .addOption(new Option('--only <PART>', 'one of the two').choices(['mosquitto', 'connector']))
    .option('--namespace <NAME>', 'namespace of the connector (default: inferwire)')
    .option('--mosquitto-namespace <NAME>', 'namespace of the broker (default: mosquitto)')
    .addOption(
      new Option(
        '--expose <WAY>',
        'how clients outside of the cluster reach the broker (default: traefik)',
      ).choices(['traefik', 'gateway', 'loadbalancer', 'nodeport', 'none']),
    )
    .addOption(
      new Option('--traefik-api <VERSION>', 'v2 for Traefik before 2.10 (default: v3)').choices(['v2', 'v3']),
    )
    .addOption(
      new Option('--mosquitto <VERSION>', 'line of Mosquitto (default: 2.0)').choices(['2.0', '2.1']),
    )
    .option('--tls-host <NAME>', 'the name of the broker in a certificate: adds TLS and WebSocket')
    .option('--tls-secret <NAME>', 'the Secret with that certificate')
    .option('--secret', 'the password file as a Secret in place of a ConfigMap')
    .option('--existing-secret', 'the password file is in the Secret mosquitto-password already')
    .option('--password-file <FILE>', 'the password file; without it nobody gets in yet')
    .option('--observer <USER>', 'a user who may see everything; may be given several times', collect)
    .option(
      '-c, --config <FILE>',
      'configuration of the connector; what it leaves out is set for the cluster',
    )
    .option('--model <NAME=URL>', 'expose a model; may be given several times', collect)
    .option('--image <IMAGE>', 'image of the connector (default: inferwire:0.1.0)')
    .option('--replicas <N>', 'connectors (default: 1)', parseWhole)
    .option('--memory <MIB>', 'memory limit of a connector (default: 512)', parseWhole)
    .option('--model-token [AUDIENCE]', 'mount a ServiceAccount token for model servers')
    .action(async (flags: ManifestFlags) => {
      const { printManifests } = await import('../manifests/print-manifests.ts')
      printManifests(flags)
    })
  return setExamples(command, [
    ['inferwire manifests --model iris=http://iris-predictor.models.svc.cluster.local', 'both, by Traefik'],
    [
      'inferwire manifests --only mosquitto --secret --password-file credentials.txt | kubectl apply -f -',
      'the broker',
    ],
    [
      'inferwire manifests --expose loadbalancer --tls-host mqtt.example.org --tls-secret mqtt-tls',
      'without Traefik',
    ],
  ])
}

function collect(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), text]
}

function parseWhole(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Expected a whole number from 1 to 999999.')
}
