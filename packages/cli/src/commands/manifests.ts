// Declares `inferwire manifests`.
import { Command, InvalidArgumentError, Option } from 'commander'
import { setExamples } from '../examples.ts'
import type { ManifestFlags } from '../manifests/manifest-flags.ts'

/** Builds the command. */
export function manifestsCommand(): Command {
  const command = new Command('manifests')
    .summary('print the Kubernetes objects for broker and connector')
    .description(
      'Print the Kubernetes objects for the broker and the connector. The Helm chart creates the same objects.\n' +
        "Create the namespaces and the Secret with the connector's password yourself.",
    )
    .addOption(
      new Option('--only <PART>', "print only this part; traefik: values for Traefik's Helm chart").choices([
        'mosquitto',
        'connector',
        'kubeflow',
        'traefik',
      ]),
    )
    .option('--namespace <NAME>', 'namespace of the connector (default: inferwire)')
    .option('--mosquitto-namespace <NAME>', 'namespace of the broker (default: mosquitto)')
    .optionsGroup('Mosquitto:')
    .addOption(
      new Option('--mosquitto <VERSION>', 'Mosquitto release line (default: 2.0)').choices(['2.0', '2.1']),
    )
    .option('--password-file <FILE>', 'the password file; without it the broker rejects every client')
    .option('--secret', 'create the password file as a Secret instead of a ConfigMap')
    .option('--existing-secret', 'use the password file in the existing Secret mosquitto-password')
    .option('--observer <USER>', 'a user with read access to all topics; repeatable', collect)
    .optionsGroup('Access from outside the cluster:')
    .addOption(
      new Option('--expose <WAY>', 'how clients reach the broker (default: traefik)').choices([
        'traefik',
        'gateway',
        'loadbalancer',
        'nodeport',
        'none',
      ]),
    )
    .option('--port <N>', 'port for clients outside the cluster (default: 5883 with traefik)', parseWhole)
    .option('--tls-host <NAME>', "the broker's host name in its certificate; enables TLS and WebSocket")
    .option('--tls-secret <NAME>', 'the Secret with the certificate for --tls-host')
    .option(
      '--client-ca-secret <NAME>',
      'require client certificates on the TLS port: the Secret with the CA (key ca.crt). The common name is the user',
    )
    .addOption(
      new Option('--traefik-api <VERSION>', 'v2 for Traefik before 2.10 (default: v3)').choices(['v2', 'v3']),
    )
    .optionsGroup('Connector:')
    .option(
      '-c, --config <FILE>',
      "the connector's configuration; broker address, login and admin host are set for the cluster unless the file has them",
    )
    .option('--model <NAME=URL>', 'expose a model; repeatable', collect)
    .option('--image <IMAGE>', 'image of the connector (default: inferwire:0.1.0)')
    .option('--replicas <N>', 'number of connectors (default: 1)', parseWhole)
    .option('--memory <MIB>', 'memory limit of each connector (default: 512)', parseWhole)
    .option('--model-token [AUDIENCE]', 'mount a ServiceAccount token for model servers')
    .option('--mount-secret <NAME=FOLDER>', "mount a Secret's keys as files; repeatable", collect)
    .optionsGroup("Models in Kubeflow's service mesh:")
    .option('--model-namespace <NAME>', "namespace of the InferenceServices, such as a profile's")
    .addOption(
      new Option('--mode <MODE>', "KServe's deployment mode (default: standard)").choices([
        'standard',
        'knative',
      ]),
    )
    .option('--ambient', 'the mesh uses ztunnel instead of sidecars')
    .option(
      '--admit-to-gateway',
      "also admit the connector to Istio's gateways; only where NetworkPolicies already select them",
    )
    .option('--inference-service <NAME>', 'the connector may call this InferenceService; repeatable', collect)
    .action(async (flags: ManifestFlags) => {
      const { printManifests } = await import('../manifests/print-manifests.ts')
      printManifests(flags)
    })
  return setExamples(command, [
    [
      'inferwire manifests --model iris=http://iris-predictor.models.svc.cluster.local --password-file credentials.txt',
      'print the manifests of the broker and the connector; Traefik exposes the broker',
    ],
    [
      'inferwire manifests --only mosquitto --secret --password-file credentials.txt | kubectl apply -f -',
      'apply the broker only',
    ],
    [
      'inferwire manifests --expose loadbalancer --tls-host mqtt.example.org --tls-secret mqtt-tls --existing-secret',
      'expose the broker by a load balancer instead of Traefik',
    ],
    [
      'inferwire manifests --only kubeflow --model-namespace alice --mode knative --inference-service iris',
      'allow the connector to call one model in a Kubeflow profile',
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
