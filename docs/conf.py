"""Sphinx configuration."""

project = 'aodh-ha'
copyright = 'aodh-ha contributors'
author = 'aodh-ha contributors'
release = version = '0.1.0'

extensions = ['openstackdocstheme', 'reno.sphinxext']
html_theme = 'openstackdocs'
html_theme_options = {'sidebar_mode': 'toc'}
openstackdocs_auto_name = False
openstackdocs_auto_version = False
openstackdocs_pdf_link = False

exclude_patterns = ['_build']
nitpicky = True
